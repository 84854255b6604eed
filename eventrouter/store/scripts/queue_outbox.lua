-- queue_outbox: read what is to be sent to other queues, oldest first.
-- KEYS as in _queue.lua
-- ARGV 1 witness, 2 wall: see _witness   3 number of the entry to begin behind, or 0   4 how many at most (10)
-- Answers {'OK', 0, 1 if there is or may be an outbox, {id, number, ARN of where it goes, header, body, extras}...}
--         | {'MISSING', 0}
-- Writes nothing.
--!include _queue
--!include _queue_entry
if redis.call('EXISTS', Q) == 0 then return {'MISSING', 0} end
local target = redis.call('HGET', Q, 'dead_letter_target') or ''
local may = target ~= '' or redis.call('EXISTS', OZ) == 1
for _, task in ipairs(redis.call('HVALS', MV)) do
  local status = cjson.decode(task).status
  may = may or status == 'RUNNING' or status == 'CANCELLING'
end
local answer = {'OK', 0, may and 1 or 0}
local listed = redis.call('ZRANGEBYSCORE', OZ, '(' .. ARGV[3], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[4])
for i = 1, #listed, 2 do
  local to, header, extras, body = read_entry(redis.call('HGET', OB, listed[i]))
  answer[#answer + 1] = {listed[i], tonumber(listed[i + 1]), to, header, body, extras}
end
return answer
