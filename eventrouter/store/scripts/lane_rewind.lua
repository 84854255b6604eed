-- lane_rewind: let a lane that nobody owns begin again, at any checkpoint.
-- KEYS 1 lane, see lane_take
-- ARGV 1 nonce: made of the checkpoint   2 epoch that the caller saw, with no owner   3 checkpoint
--      4.. fields to delete: the states that the caller saw, and what is shown of them
-- Answers {'OK'} | {'HELD', owner} | {'MOVED', epoch} if it is not the one seen | {'GONE'}
-- Harmless to repeat: it makes an epoch of its own. Without an owner nothing but the epoch's successor changes states.
--!include _release
--!include _lane_gone
local known = redis.call('HMGET', KEYS[1], 'o', 'e', 'n')
local owner, epoch, seen = known[1] or '', tonumber(known[2] or 0), tonumber(ARGV[2])
if owner ~= '' then return {'HELD', owner} end
if epoch == seen + 1 and known[3] == ARGV[1] then return {'OK'} end
if epoch ~= seen then return {'MOVED', epoch} end
redis.call('HDEL', KEYS[1], 'x', 'q', unpack(ARGV, 4))
redis.call('HSET', KEYS[1], 'o', '', 'e', string.format('%.0f', seen + 1), 'n', ARGV[1], 'c', ARGV[3])
return {'OK'}
