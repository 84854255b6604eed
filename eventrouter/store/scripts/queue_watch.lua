-- queue_watch: note that a queue may have an outbox.
-- KEYS 1 register of such queues
-- ARGV 1 queue   2 wall time (ms)
-- Answers {'OK'}
-- Intake: what is noted comes with more data. Harmless to repeat, early or late: the time never goes back.
--!intake
redis.call('ZADD', KEYS[1], 'GT', ARGV[2], ARGV[1])
return {'OK'}
