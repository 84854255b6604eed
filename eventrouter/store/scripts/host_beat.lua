-- host_beat: record a sign of life; the counter only grows.
-- KEYS 1 hosts  2 beats  3 revision of the functions
-- ARGV 1 inc  2 n: the host's own counter
-- Answers {'OK', revision} | {'DEAD'} if inc is not listed
--!include _release
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
  return {'DEAD'}
end
if tonumber(ARGV[2]) > tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or -1) then
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
end
return {'OK', tonumber(redis.call('GET', KEYS[3]) or 0)}
