-- queue_register: note that a node may hold messages of a queue.
-- KEYS 1 hosts  2 the queues of which the incarnation may hold messages
-- ARGV 1 incarnation   2 queue
-- Answers {'OK'} | {'DEAD'} if it is not listed as living
--!include _release
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return {'DEAD'} end
redis.call('SADD', KEYS[2], ARGV[2])
return {'OK'}
