-- log_index: note in an account's index of log groups that one exists.
-- KEYS 1 the index
-- ARGV 1 name of the group
-- Answers {'OK'}
-- Harmless to repeat, early or late: groups are never removed, and readers ask the group itself.
--!intake
redis.call('ZADD', KEYS[1], 0, ARGV[1])
return {'OK'}
