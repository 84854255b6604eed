-- slots_audit: recount every slot in use, and repair counts that differ. Differences are bugs.
-- KEYS 1 use  2 lim  3… held of every listed and every dead host
-- Answers {'OK', field, counted, recounted, …} for the fields that differed
-- Reads all held slots at once (a count that is taken in steps would be wrong): as many as invocations run.
--!include _release
--!include _slots
local recount = {}
for i = 3, #KEYS do
  for _, fn in ipairs(redis.call('HVALS', KEYS[i])) do
    recount[fn] = (recount[fn] or 0) + 1
    if redis.call('HEXISTS', KEYS[2], fn) == 0 then
      local field = '_u:' .. pool(fn)
      recount[field] = (recount[field] or 0) + 1
    end
  end
end
local answer, counted = {'OK'}, redis.call('HGETALL', KEYS[1])
local function differ(field, was, is)
  answer[#answer + 1] = field
  answer[#answer + 1] = was
  answer[#answer + 1] = is
  if is > 0 then
    redis.call('HSET', KEYS[1], field, is)
  else
    redis.call('HDEL', KEYS[1], field)
  end
end
for i = 1, #counted, 2 do
  local field, was = counted[i], tonumber(counted[i + 1])
  local is = recount[field] or 0
  recount[field] = nil
  if was ~= is then
    differ(field, was, is)
  end
end
for field, is in pairs(recount) do
  differ(field, 0, is)
end
return answer
