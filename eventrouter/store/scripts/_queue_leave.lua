-- Passage, after _witness: a message leaves for the queue `to` by way of the outbox. `from` is the ARN of this queue
-- for a dead letter; '' for a message that a task moves, which arrives there as a new one.
-- An entry is the lengths of ARN, header and extras, a line's end, then those three and the body. The header is the
-- message's record with its id: what queue_send takes.
local function leave(id, record, to, from)
  local body, extras = redis.call('HGET', B, id), redis.call('HGET', X, id) or ''
  remove_message(id, record, now)
  record.id, record.h = id, (record.h or 0) + 1
  record.r, record.i, record.c, record.a, record.q, record.b = nil, nil, nil, nil, nil, nil
  if from ~= '' then record.l = from else record.e = 1 end
  local header = cjson.encode(record)
  redis.call('HSET', OB, id, #to .. ' ' .. #header .. ' ' .. #extras .. '\n' .. to .. header .. extras .. body)
  redis.call('ZADD', OZ, redis.call('HINCRBY', Q, 'turn', 1), id)
end
