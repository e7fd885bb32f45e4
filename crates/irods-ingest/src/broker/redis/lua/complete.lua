-- The completion of a task, and the two things that only completions write: the signatures and the totals.

-- A sum that would overflow stays at the most that Redis counts.
local function add(key, field, by)
  local sum = redis.pcall('HINCRBY', key, field, by)
  if type(sum) == 'table' and sum.err then call('HSET', key, field, '9223372036854775807') end
end

-- A segment is a field of the record's hash, named by its number; p<number> is its position where that is another.
local function append(key, bytes, position)
  local number = int(call('HINCRBY', META, 'last_segment', 1))
  call('HSET', key, number, bytes)
  if position then call('HSET', key, 'p' .. number, position) end
end

local function compact(key, bytes, replaces)
  local position
  for _, number in ipairs(replaces) do
    if call('HEXISTS', key, number) == 0 then return end
    local at = call('HGET', key, 'p' .. number) or number
    if not position or tonumber(at) < tonumber(position) then position = at end
  end
  for _, number in ipairs(replaces) do call('HDEL', key, number, 'p' .. number) end
  if bytes ~= '' then append(key, bytes, position) end
end

-- The latest completions, so that one that is repeated because its answer was lost is told that it is done.
local function remember(request)
  call('RPUSH', P .. 'done', request)
  call('LTRIM', P .. 'done', -65536, -1)
end

function ops.complete()
  local job, number, token, request = arg(), arg(), arg(), arg()
  if not held(job, number, token) then
    if call('LPOS', P .. 'done', request) then return { 'ok' } end
    return stale(job, number)
  end
  local kind = string.sub(call('HGET', of('task', job), number) or '0', 1, 1)
  erase(job, number)
  remember(request)
  for _ = 1, num() do
    local field, by = arg(), arg()
    add(of('pass', job), field, by)
    add(of('totals', job), field, by)
  end
  for _ = 1, num() do
    local key, bytes = arg(), arg()
    append(P .. 'sig:' .. key, bytes)
  end
  for _ = 1, num() do
    local key, bytes, replaces = arg(), arg(), {}
    for i = 1, num() do replaces[i] = arg() end
    compact(P .. 'sig:' .. key, bytes, replaces)
  end
  local ending, why = arg(), arg()
  local c = course(job)
  local goes_on = c.state ~= 'stopping' and ending == ''
  local retries = num()
  local retry
  if goes_on then retry = queue_args(job, retries) else skip_args(retries) end
  if retries == 0 then
    resolve(job, number)
  else
    rebind(job, number, retry)
  end
  record_failures(job, num())
  if ending ~= '' then
    fatal(c, ending, why)
  elseif goes_on and kind == '1' then
    queue_first(job)
  end
  settle(job)
  return { 'ok' }
end
