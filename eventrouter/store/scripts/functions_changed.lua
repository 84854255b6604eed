-- functions_changed: read what changed after a revision, oldest change first.
-- KEYS 1 functions  2 frev  3 rev  4 meta
-- ARGV 1 since: a revision
-- Answers {'OK', newest revision, floor, function, its revision, record or nil if deleted, …}; at most 50 functions.
-- A reader that has seen less than `floor`, or more than the newest revision, must read from 0 and forget the rest.
--!include _release
local answer = {'OK', tonumber(redis.call('GET', KEYS[3]) or 0), tonumber(redis.call('HGET', KEYS[4], 'floor') or 0)}
local changed = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, 50)
for i = 1, #changed, 2 do
  answer[#answer + 1] = changed[i]
  answer[#answer + 1] = tonumber(changed[i + 1])
  answer[#answer + 1] = redis.call('HGET', KEYS[1], changed[i])
end
return answer
