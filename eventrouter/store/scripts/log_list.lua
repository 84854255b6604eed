-- log_list: names in an account's index of log groups, in order.
-- KEYS 1 the index
-- ARGV 1 prefix of the names   2 name to begin behind, or ''   3 how many at most (100)
-- Answers names
-- Writes nothing.
local from = '[' .. ARGV[1]
if ARGV[2] ~= '' then from = '(' .. ARGV[2] end
local to = '+'
if ARGV[1] ~= '' then to = '(' .. ARGV[1] .. '\255' end
return redis.call('ZRANGEBYLEX', KEYS[1], from, to, 'LIMIT', 0, ARGV[3])
