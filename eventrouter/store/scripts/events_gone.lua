-- events_gone: forget a fenced incarnation that owns nothing.
-- KEYS 1 reg  2 own of the dead  3 seq of the dead
-- ARGV 1 inc
-- Answers {'OK'} | {'BUSY'} if it may still claim, or still owns something
--!include _release
if redis.call('HGET', KEYS[1], ARGV[1]) == '1' or redis.call('HLEN', KEYS[2]) > 0 then
  return {'BUSY'}
end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('UNLINK', KEYS[3])
return {'OK'}
