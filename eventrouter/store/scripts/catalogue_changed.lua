-- catalogue_changed: read what changed after a revision, oldest change first.
-- KEYS 1 records  2 their revisions  3 rev  4 meta
-- ARGV 1 since: a revision  2 floor: a field of meta
-- Answers {'OK', newest revision, floor, key, its revision, record or nil if deleted, …}; at most 50 records.
-- A reader that has seen less than the floor, or more than the newest revision, must read from 0 and forget the rest.
--!include _release
local floor = tonumber(redis.call('HGET', KEYS[4], ARGV[2]) or 0)
local answer = {'OK', tonumber(redis.call('GET', KEYS[3]) or 0), floor}
local changed = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, 50)
for i = 1, #changed, 2 do
  answer[#answer + 1] = changed[i]
  answer[#answer + 1] = tonumber(changed[i + 1])
  answer[#answer + 1] = redis.call('HGET', KEYS[1], changed[i])
end
return answer
