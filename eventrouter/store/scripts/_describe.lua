-- Passage, after _event and _lease_clock: `describe(answer, id, e, payload, response, caller_wall)` appends the ten
-- fields of one claimed event: id, function, attempt, errors, deaths, age in ms, qualifier, trace, payload and last
-- response. Age is agreed wall time: neither the server's clock nor the caller's alone can make an event old.
local function describe(answer, id, e, payload, response, caller_wall)
  local at = #answer
  answer[at + 1] = id
  answer[at + 2] = e.f
  answer[at + 3] = e.a
  answer[at + 4] = e.n
  answer[at + 5] = e.c
  answer[at + 6] = math.max(0, math.min(wall, caller_wall) - e.w)
  answer[at + 7] = e.q
  answer[at + 8] = e.trace
  answer[at + 9] = payload
  answer[at + 10] = response
end
