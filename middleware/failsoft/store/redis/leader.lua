-- Gains, renews or gives up the lease of the node that acts for the fleet.
--
-- KEYS  1 leader: node that holds the lease, 2 term: grows with each gain,
--       3 quotas: what the leader publishes.
-- ARGV  1 node, 2 lease in ms, 3 "1" to gain or renew it, "0" to give it up,
--       4 quotas to publish ("" = none), 5 ms for which they hold.
-- Returns { node that holds it or "", term }.
-- Errors: those of Redis (NOPERM, READONLY, OOM, WRONGTYPE).
-- Who lost the lease publishes nothing: a higher term has begun.

local leader, term, quotas = KEYS[1], KEYS[2], KEYS[3]
local node, lease_ms, wants = ARGV[1], ARGV[2], ARGV[3] == '1'

local holder = redis.call('GET', leader) or ''
if wants and holder == '' then
  redis.call('SET', leader, node, 'PX', lease_ms)
  redis.call('INCR', term)
  holder = node
elseif wants and holder == node then
  redis.call('PEXPIRE', leader, lease_ms)
elseif holder == node then
  redis.call('DEL', leader)
  holder = ''
end
if holder == node and ARGV[4] ~= '' then
  redis.call('SET', quotas, ARGV[4], 'PX', ARGV[5])
end
return { holder, redis.call('GET', term) or '0' }
