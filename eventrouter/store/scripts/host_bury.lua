-- host_bury: declare an incarnation dead.
-- KEYS 1 hosts  2 beats  3 dead
-- ARGV 1 inc  2 why: a number n, dead if its counter still shows n · 'forced', dead whatever it shows ·
--        'unlisted', dead if it is no listed host (a stray)
-- Answers {'OK'} (dead now or before) | {'ALIVE'} | {'UNKNOWN'}
--!include _release
local inc, why = ARGV[1], ARGV[2]
local listed = redis.call('HEXISTS', KEYS[1], inc) == 1
if why == 'unlisted' then
  if listed then
    return {'ALIVE'}
  end
elseif why ~= 'forced' then
  if not listed then
    return {redis.call('HEXISTS', KEYS[3], inc) == 1 and 'OK' or 'UNKNOWN'}
  end
  if redis.call('HGET', KEYS[2], inc) ~= why then
    return {'ALIVE'}
  end
end
redis.call('HDEL', KEYS[1], inc)
redis.call('HDEL', KEYS[2], inc)
redis.call('HSET', KEYS[3], inc, '1')
return {'OK'}
