-- queue_return: make visible at once what a dead node holds of a queue.
-- KEYS as in _queue.lua
-- ARGV 1 witness, 2 wall: see _witness   3 incarnation
-- Answers {'OK', lease, how many messages were looked at (100 at most)} | {'MISSING', 0}
-- From then on the incarnation gets no more, and its receipts neither delete nor hide. Harmless to repeat.
--!include _queue
if redis.call('EXISTS', Q) == 0 then return {'MISSING', 0} end
--!include _release
--!include _lease_clock
--!include _witness
local inc = ARGV[3]
redis.call('ZADD', DD, text(now + 3600000), '\0' .. inc)
local owned = redis.call('ZRANGEBYLEX', OW, '[' .. inc .. '\0', '(' .. inc .. '\1', 'LIMIT', 0, 100)
for _, place in ipairs(owned) do
  local id = string.sub(place, #inc + 2)
  redis.call('ZREM', OW, place)
  local stored = redis.call('HGET', M, id)
  if stored then
    local record = cjson.decode(stored)
    record.a, record.r = nil, nil
    redis.call('HSET', M, id, cjson.encode(record))
    if tonumber(redis.call('ZSCORE', V, id)) > now then redis.call('ZADD', V, text(now), id) end
    if record.q then regroup(record.g, now) end
  end
end
return {'OK', now, #owned}
