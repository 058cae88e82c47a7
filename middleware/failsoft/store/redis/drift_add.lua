-- Adds one node's counts to the drift ledger.
--
-- KEYS  1 entries: HASH id -> descriptor, 2 counts of the day: HASH id or ~word ->
--       count, 3 seen: ZSET id -> last ms.
-- ARGV  1 entries kept at most, 2 ms after which one gives way to a new one,
--       3 ms for which anything is kept, 4 n, then n times: id, count, descriptor
--       ("" = perhaps it is known), then word, count to the end.
-- Returns { ids whose descriptor it lacks, ids whose descriptor was new }.
-- Errors: those of Redis (NOPERM, READONLY, OOM, WRONGTYPE).
-- A lacking id is counted already: it is sent again with its descriptor and 0.

local entries, counts, seen = KEYS[1], KEYS[2], KEYS[3]
local cap, idle_ms, kept_ms, n = tonumber(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4])
local FIRST, FIELDS, SWEEP = 5, 3, 100

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local function whole(number) return string.format('%.0f', number) end

local function sweep(age_ms)
  local last = '(' .. whole(now - tonumber(age_ms))
  local gone = redis.call('ZRANGEBYSCORE', seen, '-inf', last, 'LIMIT', 0, SWEEP)
  if #gone > 0 then
    redis.call('HDEL', entries, unpack(gone))
    redis.call('ZREM', seen, unpack(gone))
  end
end

sweep(kept_ms)
local lacks, made = {}, {}
local held = redis.call('HLEN', entries)
local swept = false
local function has_room()
  if held >= cap and not swept then
    swept = true
    sweep(idle_ms)
    held = redis.call('HLEN', entries) + #lacks
  end
  return held < cap
end

for i = 0, n - 1 do
  local at = FIRST + i * FIELDS
  local id, count, descriptor = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local field = id
  if redis.call('HEXISTS', entries, id) == 0 then
    if not has_room() then
      field = '~overflow'
    elseif descriptor == '' then
      lacks[#lacks + 1] = id
      held = held + 1
    else
      redis.call('HSET', entries, id, descriptor)
      made[#made + 1] = id
      held = held + 1
    end
  end
  if count ~= '0' then redis.call('HINCRBY', counts, field, count) end
  if field == id then redis.call('ZADD', seen, whole(now), id) end
end
for at = FIRST + n * FIELDS, #ARGV, 2 do
  redis.call('HINCRBY', counts, '~' .. ARGV[at], ARGV[at + 1])
end

local kept_s = math.floor(tonumber(kept_ms) / 1000)
for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, kept_s) end
return { lacks, made }
