-- Lease tokens of one limit and key to a node, or take unused ones back.
-- KEYS[1] bucket: hash of n (tokens) and at (ms of the store's clock)
-- ARGV rate/s, burst, want, give back (below 0: what a node let pass on its own)
-- Returns {granted, ms until there is a token when fewer than wanted, left}.
--
-- Nodes hold up to a fifth of the burst.  So a bucket in use fills up to four fifths
-- only: with what is held it is never more than the burst.  It is full again once it
-- has expired, and by then every node has given back what it did not use.
local rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local want, back = tonumber(ARGV[3]), tonumber(ARGV[4])
local t = redis.call('TIME')
local now = t[1] * 1000 + t[2] / 1000
local h = redis.call('HMGET', KEYS[1], 'n', 'at')
local n, at = tonumber(h[1]) or burst, tonumber(h[2]) or now
local top = math.max(burst - math.floor(burst / 5), math.min(n, burst))
n = math.min(top, n + math.max(0, now - at) * rate / 1000)
n = math.min(burst, n + back)
local got = math.max(0, math.min(want, math.floor(n)))
n = n - got
redis.call('HSET', KEYS[1], 'n', string.format('%.4f', n), 'at', string.format('%.3f', math.max(now, at)))
redis.call('PEXPIRE', KEYS[1], math.ceil(burst / rate * 1000) + 3000)
return {got, got < want and math.ceil(math.max(0, 1 - n) * 1000 / rate) or 0, math.floor(n)}
