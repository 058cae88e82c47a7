"""The demo's embedded Redis-protocol server: `... _demo_redis PORT`, loopback only."""

from __future__ import annotations

import sys

from fakeredis import TcpFakeServer

if __name__ == "__main__":
    TcpFakeServer(("127.0.0.1", int(sys.argv[1]))).serve_forever()
