-- host_forget: strike a reaped incarnation from the dead list.
-- KEYS 1 dead  2 held of the dead  3 turns
-- ARGV 1 inc
-- Answers {'OK'} | {'BUSY'} while slots are still to be freed
--!include _release
if redis.call('HLEN', KEYS[2]) > 0 then
  return {'BUSY'}
end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
return {'OK'}
