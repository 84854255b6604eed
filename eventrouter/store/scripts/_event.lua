-- Passage: an event's state, the value of its field in `ev`:
--   s|o|a|n|c|d|w|f|q|trace
-- s R ready or C claimed, o owner's incarnation (of a ready event: who put it back, or empty), a claims so far,
-- n function errors, c host deaths, d due time when last queued (lease ms), w accepted (wall ms), f function key,
-- q qualifier or empty, trace any text.
local function read_event(value)
  local s, o, a, n, c, d, w, f, q, trace =
    string.match(value, '^(%u)|([^|]*)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|([^|]*)|([^|]*)|(.*)$')
  return {s = s, o = o, a = tonumber(a), n = tonumber(n), c = tonumber(c), d = tonumber(d), w = tonumber(w),
    f = f, q = q, trace = trace}
end
local function write_event(e)
  return string.format('%s|%s|%d|%d|%d|%.0f|%.0f|%s|%s|', e.s, e.o, e.a, e.n, e.c, e.d, e.w, e.f, e.q) .. e.trace
end
