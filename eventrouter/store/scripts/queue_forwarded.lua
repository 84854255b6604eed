-- queue_forwarded: strike from the outbox what was sent on, or could not be because its queue does not exist.
-- KEYS as in _queue.lua
-- ARGV 1 witness, 2 wall: see _witness   3 '1' if it was sent   4.. of each entry (10 at most) id, number
-- Answers {'OK', lease, how many were struck} | {'MISSING', 0}
-- What cannot be sent comes back if a task moved it, and is not moved to its source again; a dead letter waits until
-- it is past retention. Harmless to repeat: an entry's number is used once.
--!include _queue
local retention = redis.call('HGET', Q, 'retention_ms')
if not retention then return {'MISSING', 0} end
--!include _release
--!include _lease_clock
--!include _witness
--!include _queue_put
--!include _queue_entry
local struck = 0
for i = 4, #ARGV, 2 do
  local id = ARGV[i]
  if tonumber(redis.call('ZSCORE', OZ, id) or -1) == tonumber(ARGV[i + 1]) then
    local is_over = ARGV[3] == '1'
    if not is_over then
      local _, header, extras, body = read_entry(redis.call('HGET', OB, id))
      local record = cjson.decode(header)
      is_over = record.e ~= nil or record.t < agreed - retention
      if record.e then
        record.id, record.e, record.b = nil, nil, 1
        put_message(id, record, body, extras, 0)
      end
    end
    if is_over then
      redis.call('ZREM', OZ, id)
      redis.call('HDEL', OB, id)
      struck = struck + 1
    end
  end
end
return {'OK', now, struck}
