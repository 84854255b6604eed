-- shard_open: let a shard take records.
-- KEYS 1 m
-- ARGV 1 ms and 2 n of an id that every record's is to be greater than
-- Answers {'OK'} (now or before)
--!include _release
if redis.call('HEXISTS', KEYS[1], 's') == 0 then
  redis.call('HSET', KEYS[1], 's', 'o', 'ms', ARGV[1], 'n', ARGV[2])
end
return {'OK'}
