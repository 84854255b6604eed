-- events_requeue: take events from a dead incarnation and make them due, in their old places.
-- KEYS 1 clock  2 ev  3 idx  4 hold  5 reg  6 own of the dead  7… queues of the functions
-- ARGV 1 inc  2 deaths to count (1, or 0 after a clean shutdown)  3… pairs: id, KEYS index of its queue (<= 100)
-- Answers {'OK', number requeued} | {'ALIVE'}
-- Refused while reg[inc] is 1. An id that inc does not hold is only struck from its list.
--!include _release
if redis.call('HGET', KEYS[5], ARGV[1]) == '1' then
  return {'ALIVE'}
end
--!include _index
--!include _event
local inc, deaths, requeued, touched = ARGV[1], tonumber(ARGV[2]), 0, {}
for i = 3, #ARGV, 2 do
  local id, queue = ARGV[i], KEYS[tonumber(ARGV[i + 1])]
  local value = redis.call('HGET', KEYS[2], id)
  local e = value and read_event(value)
  if e and e.s == 'C' and e.o == inc then
    e.s, e.o, e.c = 'R', '', e.c + deaths
    redis.call('HSET', KEYS[2], id, write_event(e))
    redis.call('ZADD', queue, string.format('%.0f', e.d), id)
    touched[queue] = e.f
    requeued = requeued + 1
  end
  redis.call('HDEL', KEYS[6], id)
end
for queue, fn in pairs(touched) do
  reindex(KEYS[3], KEYS[4], queue, fn)
end
return {'OK', requeued}
