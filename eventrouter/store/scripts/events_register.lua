-- events_register: let an incarnation claim in this partition.
-- KEYS 1 reg
-- ARGV 1 inc
-- Answers {'OK'} | {'DEAD'} if it has been fenced here
--!include _release
redis.call('HSETNX', KEYS[1], ARGV[1], '1')
if redis.call('HGET', KEYS[1], ARGV[1]) ~= '1' then
  return {'DEAD'}
end
return {'OK'}
