-- host_join: list an incarnation as living.
-- KEYS 1 hosts  2 beats  3 dead
-- ARGV 1 inc  2 info, JSON
-- Answers {'OK'} | {'DEAD'} if it has been buried
--!include _release
if redis.call('HEXISTS', KEYS[3], ARGV[1]) == 1 then
  return {'DEAD'}
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('HSETNX', KEYS[2], ARGV[1], '0')
return {'OK'}
