-- The moves of one notification after the other, of ROWS notifications, in no order a cache could like.
local rows = tonumber(os.getenv("ROWS"))
local at = 0

function request()
  at = (at + 61803) % rows
  return wrk.format("GET", wrk.path .. string.format("/00000000-0000-4000-8000-%012d/vmoves", at + 1))
end
