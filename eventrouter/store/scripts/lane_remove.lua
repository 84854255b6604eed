-- lane_remove: delete a lane.
-- KEYS 1 lane, see lane_take
-- Answers {'OK'}
-- Harmless to repeat. See _lane_gone for what is left.
--!include _release
redis.call('UNLINK', KEYS[1])
redis.call('HSET', KEYS[1], 'gone', '1')
redis.call('PEXPIRE', KEYS[1], 600000)
return {'OK'}
