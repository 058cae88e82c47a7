-- One atomic write of controls: all changes of a call or none.
--
-- KEYS  1 meta, 2 log, 3 due, 4 op, then one hash a kind in registry order.
-- ARGV  1 op_id, 2 wanted epoch ("" any), 3 fresh epoch, 4 actor, 5 reason, 6 via,
--       7 base: new revisions lie above it,
--       8 "" or "accept" and epochs: a new epoch that replaces these and the old one,
--       9 n, then n times: hash number (1 = first kind), name, put|del|restore,
--       if_rev (* any, 0 absent, n exact), until (0, +ms, ms), json.
--       restore: a put that is left out once its end has passed.
-- Returns an array, first element:
--   ok rev epoch now_ms                 written
--   dup rev epoch now_ms                this op_id was written before: its answer
--   epoch rev epoch                     the epoch is not the wanted one
--   conflict rev now_ms (i value)*      changes i differ; value now, "" = absent
--   until i now_ms                      change i ends in the past or after 30 days (tolerance: 90)
--   limit kind count                    the kind would hold `count` records
-- Errors: those of Redis (NOPERM, READONLY, OOM, WRONGTYPE).
-- Only `ok` writes changes; every answer but dup and epoch may sweep due records.
-- The JSON is never decoded here: cjson turns [] into {} and rounds big integers.

local meta, log, due, op = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local op_id, wanted, fresh = ARGV[1], ARGV[2], ARGV[3]
local actor, reason, via = ARGV[4], ARGV[5], ARGV[6]
local base, accept, n = tonumber(ARGV[7]), ARGV[8], tonumber(ARGV[9])
local writes = n > 0 or accept ~= ''
local FIELDS, FIRST_HASH, FIRST_CHANGE = 6, 4, 9
local CAPS, OTHER_CAP = { flag = 20000, kill = 500 }, 1000
local TTLS_MS, MAX_TTL_MS = { tolerance = 7776000000 }, 2592000000
local SWEEP, LOG_LENGTH, LINEAGE = 100, 10000, 16

local function whole(number) return string.format('%.0f', number) end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local state = redis.call('HMGET', meta, 'rev', 'epoch')
local rev, epoch = state[1] or '0', state[2] or ''

local answered = redis.call('GET', op)
if answered then
  local r, e, t = string.match(answered, '^(%S+) (%S*) (%S+)$')
  return { 'dup', r, e, t }
end
if wanted ~= '' and wanted ~= epoch then return { 'epoch', rev, epoch } end
if epoch == '' then
  if not writes then return { 'ok', rev, epoch, whole(now) } end
  epoch = fresh
  redis.call('HSET', meta, 'epoch', epoch, 'schema', '1')
end

local number_of, kind_of = {}, { [0] = 'store' }
for h = 1, #KEYS - FIRST_HASH do
  local kind = string.match(KEYS[FIRST_HASH + h], '([^:]+)$')
  kind_of[h], number_of[kind] = kind, h
end

local touched = {}

local function record(h, name, what, value, was, who, why, by, id, ended)
  rev = whole(redis.call('HINCRBY', meta, 'rev', 1))
  if h > 0 then touched[h] = true end
  local entry = { 'rev', rev, 'ep', epoch, 'kind', kind_of[h], 'name', name,
    'op', what, 'v', value and value(rev) or '', 'was', was or '', 'who', who,
    'why', why, 'via', by, 'id', id }
  if ended then
    entry[#entry + 1] = 'due'
    entry[#entry + 1] = ended
  end
  redis.call('XADD', log, 'MAXLEN', '~', LOG_LENGTH, '*', unpack(entry))
end

local function until_of(value) return string.match(value, '^%d+ %d+ (%d+) ') end

-- A record whose end has passed leaves the hash, so it counts as absent below.
local function current(h, name)
  local value = redis.call('HGET', KEYS[FIRST_HASH + h], name)
  if not value then return nil end
  local ends = until_of(value)
  if not ends or ends == '0' or tonumber(ends) > now then return value end
  redis.call('HDEL', KEYS[FIRST_HASH + h], name)
  redis.call('ZREM', due, kind_of[h] .. '/' .. name)
  record(h, name, 'expire', nil, value, '(expiry)', 'its end has passed', actor, '', ends)
  return nil
end

for _, member in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, SWEEP)) do
  local kind, name = string.match(member, '^([^/]+)/(.*)$')
  local h = number_of[kind]
  -- A kind of a newer release is left to a writer that knows it.
  if h then
    local kept = current(h, name)
    local ends = kept and until_of(kept) or '0'
    if ends == '0' then
      redis.call('ZREM', due, member)
    else
      redis.call('ZADD', due, ends, member)
    end
  end
end

local function count_kinds()
  for h in pairs(touched) do
    redis.call('HSET', meta, 'n:' .. kind_of[h], redis.call('HLEN', KEYS[FIRST_HASH + h]))
  end
end

local function refuse(answer)
  count_kinds()
  return answer
end

local changes, mismatches, growth = {}, {}, {}
for i = 1, n do
  local at = FIRST_CHANGE + (i - 1) * FIELDS
  local c = { h = tonumber(ARGV[at + 1]), name = ARGV[at + 2], op = ARGV[at + 3],
    ends = ARGV[at + 5], json = ARGV[at + 6] }
  local if_rev = ARGV[at + 4]
  c.was = current(c.h, c.name)
  local has = c.was and string.match(c.was, '^(%d+) ') or '0'
  if if_rev ~= '*' and if_rev ~= has then
    mismatches[#mismatches + 1] = tostring(i)
    mismatches[#mismatches + 1] = c.was or ''
  end
  if c.op ~= 'del' then
    if string.sub(c.ends, 1, 1) == '+' then c.ends = whole(now + tonumber(string.sub(c.ends, 2))) end
    local ends = tonumber(c.ends)
    if c.op == 'restore' then
      c.over = ends ~= 0 and ends <= now
    elseif ends ~= 0 and (ends <= now or ends > now + (TTLS_MS[kind_of[c.h]] or MAX_TTL_MS)) then
      return refuse({ 'until', tostring(i), whole(now) })
    end
    c.ends = whole(ends)
    if not c.was and not c.over then growth[c.h] = (growth[c.h] or 0) + 1 end
  elseif c.was then
    growth[c.h] = (growth[c.h] or 0) - 1
  end
  changes[i] = c
end
if #mismatches > 0 then
  return refuse({ 'conflict', rev, whole(now), unpack(mismatches) })
end
for h, more in pairs(growth) do
  local count = redis.call('HLEN', KEYS[FIRST_HASH + h]) + more
  if more > 0 and count > (CAPS[kind_of[h]] or OTHER_CAP) then
    return refuse({ 'limit', kind_of[h], whole(count) })
  end
end

local function write(c)
  local member = kind_of[c.h] .. '/' .. c.name
  local value
  -- First of all: a full server lets go on what begins with a removal, and controls
  -- are needed most when observations have filled it.
  redis.call('ZREM', due, member)
  if c.op == 'del' then
    redis.call('HDEL', KEYS[FIRST_HASH + c.h], c.name)
  else
    value = function(r)
      local stored = r .. ' ' .. whole(now) .. ' ' .. c.ends .. ' ' .. c.json
      redis.call('HSET', KEYS[FIRST_HASH + c.h], c.name, stored)
      return stored
    end
  end
  if value and c.ends ~= '0' then redis.call('ZADD', due, c.ends, member) end
  -- Deleting what is absent changes nothing and is not logged.
  if value or c.was then
    record(c.h, c.name, c.op, value, c.was, actor, reason, via, op_id)
  end
end

-- Of all epochs that were in force, the last 16: nodes of any of them adopt this one.
local function replace_epoch()
  local old, seen, kept = redis.call('HGET', meta, 'lineage') or '', {}, {}
  local named = string.sub(accept, 7)
  if epoch ~= fresh then named = named .. ' ' .. epoch end
  for word in string.gmatch(old .. ' ' .. named, '%S+') do
    if not seen[word] then kept[#kept + 1] = word end
    seen[word] = true
  end
  epoch = fresh
  local lineage = table.concat(kept, ' ', math.max(1, #kept - LINEAGE + 1))
  redis.call('HSET', meta, 'epoch', epoch, 'lineage', lineage)
  record(0, '', 'accept', nil, nil, actor, reason, via, op_id)
  for h in pairs(kind_of) do touched[h] = h > 0 or nil end
end

if writes and base > tonumber(rev) then
  rev = whole(base)
  redis.call('HSET', meta, 'rev', rev)
end
for _, c in ipairs(changes) do
  if not c.over then write(c) end
end
if accept ~= '' then replace_epoch() end
count_kinds()
if writes then redis.call('SET', op, rev .. ' ' .. epoch .. ' ' .. whole(now), 'EX', 600) end
return { 'ok', rev, epoch, whole(now) }
