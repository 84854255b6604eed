-- Passage, after _record_check: store the record under a new revision.
revision = redis.call('INCR', KEYS[4])
redis.call('HSET', KEYS[1], key, ARGV[4])
redis.call('ZADD', KEYS[2], revision, key)
redis.call('ZREM', KEYS[3], key)
