-- Passage: the keys of a queue, in the order of KEYS in every queue_* script, and what several of them do.
--   CLK  hash  lease clock
--   Q    hash  the queue's settings, generation, revision, creation time, last purge; turn: a counter
--   GONE hash  when the queue was deleted, and by which call (rubbish after 60 s)
--   V    zset  message id -> visible at (lease)
--   M    hash  message id -> {n receives, r nonce of the last one, i when it was (lease), c 1 if its visibility was
--              changed since, a incarnation that holds it, f first receive (wall), t sent (wall), k how long to
--              remember the id, u sender, g group, y deduplication id, q sequence number (FIFO only), h hops between
--              queues, l the queue that gave it up, b 1 if that queue is no more}
--   B    hash  message id -> body
--   X    hash  message id -> extras, only where there are any
--   S    zset  message id -> sent at (wall)
--   D    zset  message id -> due at (lease), of messages sent with a delay
--   DD   zset  remembered until (lease): id of a deleted message | id, '/', hop of one that came from another queue
--              | NUL, incarnation whose messages were returned
--   RN   hash  nonce of a call -> what it did, or '=', nonce of the receive that it repeated
--              | NUL, attempt id -> nonce of its receive;  RT zset  kept until (lease)
--   FO   zset  FIFO: all scores 0, group NUL sequence number NUL id
--   GA   zset  FIFO: group whose first message is visible -> its turn;  GW zset  any other group -> visible at (lease)
--   FD   hash  FIFO: deduplication key -> sequence number and id;  FX zset  remembered until (wall)
--   OW   zset  all scores 0, incarnation NUL message id, of messages that nodes hold
--   OB   hash  message id -> what is sent to another queue, see _queue_leave;  OZ zset  its number
--   MV   hash  handle of a move task -> the task, JSON
-- Every id in M is in V, B and S, and on a FIFO queue in FO; every group in FO is in either GA or GW.
local CLK, Q, GONE, V, M, B, X = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local S, D, DD, RN, RT = KEYS[8], KEYS[9], KEYS[10], KEYS[11], KEYS[12]
local FO, GA, GW, FD, FX = KEYS[13], KEYS[14], KEYS[15], KEYS[16], KEYS[17]
local OW, OB, OZ, MV = KEYS[18], KEYS[19], KEYS[20], KEYS[21]

local function text(number)
  return string.format('%.0f', number)
end

-- The first messages of a group; in what is answered the id begins at #group + 23.
local function first_of(group, count)
  return redis.call('ZRANGEBYLEX', FO, '[' .. group .. '\0', '(' .. group .. '\1', 'LIMIT', 0, count)
end

-- Puts a group where its first message says; one that becomes ready goes behind all that are.
local function regroup(group, now)
  local head = first_of(group, 1)[1]
  if not head then
    redis.call('ZREM', GA, group)
    redis.call('ZREM', GW, group)
    return
  end
  local at = redis.call('ZSCORE', V, string.sub(head, #group + 23))
  if tonumber(at) > now then
    redis.call('ZREM', GA, group)
    redis.call('ZADD', GW, at, group)
  else
    redis.call('ZREM', GW, group)
    redis.call('ZADD', GA, 'NX', redis.call('HINCRBY', Q, 'turn', 1), group)
  end
end

-- Groups whose first message has become visible meanwhile; 100 at most.
local function wake_groups(now)
  for _, group in ipairs(redis.call('ZRANGEBYSCORE', GW, '-inf', text(now), 'LIMIT', 0, 100)) do
    regroup(group, now)
  end
end

local function remove_message(id, record, now)
  redis.call('ZREM', V, id)
  redis.call('HDEL', M, id)
  redis.call('HDEL', B, id)
  redis.call('HDEL', X, id)
  redis.call('ZREM', S, id)
  redis.call('ZREM', D, id)
  redis.call('ZADD', DD, text(now + record.k), id)
  if record.a then redis.call('ZREM', OW, record.a .. '\0' .. id) end
  if record.q then
    redis.call('ZREM', FO, record.g .. '\0' .. record.q .. '\0' .. id)
    regroup(record.g, now)
  end
end

-- Drops what is over: messages past retention, remembered ids and calls past their time; 100 of each at most.
local function trim(now, agreed)
  local oldest = text(agreed - tonumber(redis.call('HGET', Q, 'retention_ms')))
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', S, '-inf', '(' .. oldest, 'LIMIT', 0, 100)) do
    remove_message(id, cjson.decode(redis.call('HGET', M, id)), now)
  end
  for _, key in ipairs({{DD, now}, {RT, now, RN}, {FX, agreed, FD}}) do
    for _, member in ipairs(redis.call('ZRANGEBYSCORE', key[1], '-inf', text(key[2]), 'LIMIT', 0, 100)) do
      redis.call('ZREM', key[1], member)
      if key[3] then redis.call('HDEL', key[3], member) end
    end
  end
end

local function remember(nonce, what, till)
  redis.call('HSET', RN, nonce, what)
  redis.call('ZADD', RT, text(till), nonce)
end

-- Answers an array: what a caller sees of a message.
local function shown(id, record, nonce)
  return {
    id, text(record.n), nonce, text(record.t), text(record.f or 0), record.u, redis.call('HGET', B, id),
    redis.call('HGET', X, id) or '', record.g or '', record.y or '', record.q or '', record.l or ''
  }
end
