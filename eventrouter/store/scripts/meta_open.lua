-- meta_open: note what is fixed when an installation is made.
-- KEYS 1 meta  2 rev
-- ARGV 1 partitions  2.. floors: a field of meta for each kind of record
-- Answers {'OK', partitions in force}
-- A new installation counts revisions from the time it is made, and that is each floor too: a node that knew an
-- older one of the same name, since deleted, then notices and reads everything.
--!include _release
if redis.call('HSETNX', KEYS[1], 'partitions', ARGV[1]) == 1 then
  local time = redis.call('TIME')
  local first = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
  for i = 2, #ARGV do
    redis.call('HSET', KEYS[1], ARGV[i], first)
  end
  redis.call('SET', KEYS[2], first)
end
return {'OK', tonumber(redis.call('HGET', KEYS[1], 'partitions'))}
