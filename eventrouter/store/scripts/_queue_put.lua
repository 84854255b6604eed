-- Passage, after _witness: a message enters the queue. `record` is as in M but for q and, if it is new, n and t.
local fifo = redis.call('HGET', Q, 'is_fifo') == '1'
local function put_message(id, record, body, extras, delay)
  record.n = record.n or 0
  record.t = record.t or agreed
  record.q = nil
  if fifo then
    record.g = record.g or ''
    record.q = '18' .. string.format('%018.0f', redis.call('HINCRBY', Q, 'sequence', 1))
  end
  local due = text(now + delay)
  redis.call('ZADD', V, due, id)
  redis.call('HSET', M, id, cjson.encode(record))
  redis.call('HSET', B, id, body)
  if extras ~= '' then redis.call('HSET', X, id, extras) end
  redis.call('ZADD', S, text(record.t), id)
  if delay > 0 then redis.call('ZADD', D, due, id) end
  if fifo then
    redis.call('ZADD', FO, 0, record.g .. '\0' .. record.q .. '\0' .. id)
    if not redis.call('ZSCORE', GA, record.g) and not redis.call('ZSCORE', GW, record.g) then
      regroup(record.g, now)
    end
  end
end
