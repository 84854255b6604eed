-- events_find: say where an event stands. Changes no event.
-- KEYS 1 clock  2 ev  3 hold
-- ARGV 1 id
-- Answers {'OK', now, R ready or C claimed, owner or '', claims, errors, deaths, ms until due, ms until its function is
--         held no more, accepted (wall, ms), function, qualifier or ''} | {'NONE', now}
--!include _release
--!include _lease_clock
--!include _event
local value = redis.call('HGET', KEYS[2], ARGV[1])
if not value then
  return {'NONE', now}
end
local e = read_event(value)
local held = tonumber(redis.call('ZSCORE', KEYS[3], e.f) or '0')
return {'OK', now, e.s, e.o, e.a, e.n, e.c, math.max(e.d - now, 0), math.max(held - now, 0), e.w, e.f, e.q}
