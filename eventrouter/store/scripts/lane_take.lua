-- lane_take: become the owner of a unit's lane.
-- KEYS 1 lane: o owner, e epoch, n who made that epoch, q number of the last save, c checkpoint, x drained,
--        s:<j> states, ob:<id> outbox, i info
-- ARGV 1 inc   2 nonce: made by the caller, names this take   3 over: an owner known to be dead, or ''
--      4 epoch that the caller saw
-- Answers {'OK', epoch, fields and values} | {'HELD', owner} | {'MOVED', epoch} if it is not the one seen
--         | {'GONE'}
-- Harmless to repeat: the same nonce gets the same epoch; a late repetition finds another epoch and takes nothing.
--!include _release
--!include _lane_gone
local known = redis.call('HMGET', KEYS[1], 'o', 'e', 'n')
local owner, epoch, seen = known[1] or '', tonumber(known[2] or 0), tonumber(ARGV[4])
if owner ~= '' and owner ~= ARGV[1] and owner ~= ARGV[3] then return {'HELD', owner} end
if owner ~= ARGV[1] or epoch ~= seen + 1 or known[3] ~= ARGV[2] then
  if epoch ~= seen then return {'MOVED', epoch} end
  epoch = seen + 1
  redis.call('HSET', KEYS[1], 'o', ARGV[1], 'e', string.format('%.0f', epoch), 'n', ARGV[2])
  redis.call('HDEL', KEYS[1], 'q')
end
return {'OK', epoch, redis.call('HGETALL', KEYS[1])}
