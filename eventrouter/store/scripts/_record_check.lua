-- Passage: may this record be stored? KEYS 1 records  2 their revisions  3 deletions  4 rev  5 meta
-- ARGV 1 key  2 expected revision (0: must not exist)  3 seen: the newest revision this node knows
--      4 record, JSON  5 floor: a field of meta
-- Answers {'OK', revision} | {'CONFLICT', revision or 0} | {'BEHIND', newest revision}, or goes on.
-- A record equal to the stored one was stored by an earlier run of this call. A creation by a node that has not
-- seen a later deletion is BEHIND: it may be a late duplicate of the creation that was deleted.
local key, expected = ARGV[1], tonumber(ARGV[2])
local stored = redis.call('HGET', KEYS[1], key)
local revision = tonumber(stored and redis.call('ZSCORE', KEYS[2], key) or 0)
if stored == ARGV[4] and revision > expected then
  return {'OK', revision}
end
if revision ~= expected then
  return {'CONFLICT', revision}
end
if not stored then
  local newest = tonumber(redis.call('ZSCORE', KEYS[3], key) or redis.call('HGET', KEYS[5], ARGV[5]) or 0)
  if newest > tonumber(ARGV[3]) then
    return {'BEHIND', newest}
  end
end
