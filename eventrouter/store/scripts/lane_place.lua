-- lane_place: set where a lane begins, unless it has begun.
-- KEYS 1 lane, see lane_take
-- ARGV 1 checkpoint
-- Answers {'OK'} | {'GONE'}
-- Harmless to repeat: a lane that has a checkpoint, or was ever taken, is left as it is.
--!include _release
--!include _lane_gone
if redis.call('HEXISTS', KEYS[1], 'e') == 0 then redis.call('HSETNX', KEYS[1], 'c', ARGV[1]) end
return {'OK'}
