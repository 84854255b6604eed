-- queue_index: note in an account's index of queues that one exists, or no longer does.
-- KEYS 1 the index
-- ARGV 1 the queue's name, NUL, its generation   2 '1' exists, '0' is gone
-- Answers {'OK'}
-- Harmless to repeat, early or late: a generation never comes back, and readers ask the queue itself.
if ARGV[2] == '1' then
  redis.call('ZADD', KEYS[1], 0, ARGV[1])
else
  redis.call('ZREM', KEYS[1], ARGV[1])
end
return {'OK'}
