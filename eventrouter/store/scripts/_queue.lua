-- Passage: the keys of a queue, in the order of KEYS in every queue_* script, and what several of them do.
--   CLK  hash  lease clock
--   Q    hash  the queue's settings, generation, creation time, last purge
--   GONE hash  when the queue was deleted, and by which call (rubbish after 60 s)
--   V    zset  message id -> visible at (lease)
--   M    hash  message id -> {n receives, r nonce of the last one, f first receive (wall), t sent (wall),
--              k how long to remember the id, u sender}
--   B    hash  message id -> body
--   X    hash  message id -> extras, only where there are any
--   S    zset  message id -> sent at (wall)
--   D    zset  message id -> due at (lease), of messages sent with a delay
--   DD   zset  id of a deleted message -> remembered until (lease)
--   RN   hash  nonce of a receive -> ids it took;  RT zset  nonce -> kept until (lease)
-- Every id in M is in V, B and S.
local CLK, Q, GONE, V, M, B, X = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local S, D, DD, RN, RT = KEYS[8], KEYS[9], KEYS[10], KEYS[11], KEYS[12]

local function remove_message(id, now, keep)
  redis.call('ZREM', V, id)
  redis.call('HDEL', M, id)
  redis.call('HDEL', B, id)
  redis.call('HDEL', X, id)
  redis.call('ZREM', S, id)
  redis.call('ZREM', D, id)
  redis.call('ZADD', DD, string.format('%.0f', now + keep), id)
end

-- Drops what is over: messages past retention, remembered ids and receives past their time; 100 of each at most.
local function trim(now, agreed)
  local retention = tonumber(redis.call('HGET', Q, 'retention_ms'))
  local oldest = string.format('%.0f', agreed - retention)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', S, '-inf', '(' .. oldest, 'LIMIT', 0, 100)) do
    remove_message(id, now, cjson.decode(redis.call('HGET', M, id)).k)
  end
  local lease = string.format('%.0f', now)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', DD, '-inf', lease, 'LIMIT', 0, 100)) do
    redis.call('ZREM', DD, id)
  end
  for _, nonce in ipairs(redis.call('ZRANGEBYSCORE', RT, '-inf', lease, 'LIMIT', 0, 100)) do
    redis.call('ZREM', RT, nonce)
    redis.call('HDEL', RN, nonce)
  end
end

local function unlink_messages()
  redis.call('UNLINK', V, M, B, X, S, D, DD, RN, RT)
end
