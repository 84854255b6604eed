-- Passage: `reindex(idx, hold, queue, fn)` sets idx[fn] to the due time of the queue's head, or to the function's
-- hold if that is later; removes it when the queue is empty.
local function reindex(idx, hold, queue, fn)
  local head = redis.call('ZRANGE', queue, 0, 0, 'WITHSCORES')
  if not head[1] then
    redis.call('ZREM', idx, fn)
    return
  end
  local due, held = tonumber(head[2]), redis.call('ZSCORE', hold, fn)
  if held and tonumber(held) > due then
    due = tonumber(held)
  end
  redis.call('ZADD', idx, string.format('%.0f', due), fn)
end
