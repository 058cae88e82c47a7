-- One node's part in one probe of a dependency that is open for the whole fleet.
--
-- KEYS  1 probe: HASH step, at (ms it began), ok, out (permits), fail.
-- ARGV  1 outcomes ok, 2 outcomes bad, 3 permits given back, 4 permits wanted,
--       5 ms after which one good call is enough for a step, 6 seconds kept,
--       7.. permits of each step.
-- Returns { steps passed, permits granted, bad outcomes so far }.
-- Errors: those of Redis (NOPERM, READONLY, OOM, WRONGTYPE).
-- A step is over when all its permits ended well; a bad one ends the probe.

local probe = KEYS[1]
local good, bad, back, want = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local patience_ms, kept_s, FIRST = tonumber(ARGV[5]), ARGV[6], 7

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local held = redis.call('HMGET', probe, 'step', 'at', 'ok', 'out', 'fail')
if not held[1] and good + bad + want == 0 then return { 0, 0, 0 } end
local step, at = tonumber(held[1] or 0), tonumber(held[2] or now)
local ok, fail = tonumber(held[3] or 0) + good, tonumber(held[5] or 0) + bad
local out = math.max(0, tonumber(held[4] or 0) - good - bad - back)

local function size() return tonumber(ARGV[FIRST + step] or 0) end
local is_old = now - at >= patience_ms
if fail == 0 and size() > 0 and (ok >= size() or (ok > 0 and is_old)) then
  step, at, ok, out = step + 1, now, 0, 0
elseif is_old and ok == 0 then
  -- Whoever took them is gone.
  at, out = now, 0
end
local granted = 0
if fail == 0 then granted = math.max(0, math.min(want, size() - ok - out)) end
redis.call('HSET', probe, 'step', step, 'at', string.format('%.0f', at), 'ok', ok, 'out', out + granted, 'fail', fail)
redis.call('EXPIRE', probe, kept_s)
return { step, granted, fail }
