-- events_fence: stop an incarnation from claiming in this partition, also one that never registered.
-- KEYS 1 reg
-- ARGV 1 inc
-- Answers {'OK'}
--!include _release
redis.call('HSET', KEYS[1], ARGV[1], '0')
return {'OK'}
