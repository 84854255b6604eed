-- lane_release: give a lane up.
-- KEYS 1 lane, see lane_take
-- ARGV 1 inc   2 epoch
-- Answers {'OK'} | {'LOST'} if (inc, epoch) does not own the lane
-- Harmless to repeat: a later ownership has another epoch.
--!include _release
local lane = redis.call('HMGET', KEYS[1], 'o', 'e')
if lane[1] ~= ARGV[1] or lane[2] ~= ARGV[2] then return {'LOST'} end
redis.call('HSET', KEYS[1], 'o', '')
return {'OK'}
