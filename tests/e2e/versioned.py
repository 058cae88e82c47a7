"""A versioned application with streams, and a dependency that counts its runs."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

from fastapi import Depends, FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, field_validator

from failsoft import Failsoft
from failsoft.versions import (
    Contract,
    MediaTypeParam,
    PathPrefix,
    Query,
    Version,
    add,
    rename,
)


class Note(BaseModel):
    text: str
    lang: str

    @field_validator("text")
    @classmethod
    def count_validation(cls, text: str) -> str:
        ran["validator"] += 1
        return text


contract = Contract(
    [
        Version("1"),
        Version("2", rename("Note.txt", to="text")),
        Version("3", add("Note.lang", default="en")),
    ],
    scheme="number",
    read=[PathPrefix("v"), Query("v"), MediaTypeParam("v")],
)
ran: Counter[str] = Counter()
released = asyncio.Event()
app = FastAPI()
app.add_middleware(Failsoft, contract=contract)


def count() -> None:
    ran["dependency"] += 1


@app.post("/notes", dependencies=[Depends(count)])
async def keep(note: Note) -> list[Note]:
    ran["handler"] += 1
    return [note]


@app.get("/ran")
async def tell() -> dict[str, int]:
    return dict(ran)


@app.get("/stream")
async def stream(kind: str) -> StreamingResponse:
    released.clear()

    async def parts() -> AsyncIterator[bytes]:
        yield b'{"txt": "first"}\n'
        await released.wait()
        yield b'{"txt": "second"}\n'

    return StreamingResponse(parts(), media_type=kind)


@app.post("/release")
async def release() -> None:
    released.set()
