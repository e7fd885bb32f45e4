-- Tasks: queued, held, put back, dropped.

local function make_ready(job, place, number)
  call('ZADD', of('ready', job), tonumber(place), place .. number)
end

local function queue(job, kind, class, depth, payload, delay)
  local number = string.format('%013.0f', call('HINCRBY', of('job', job), 'last', 1))
  local place = class .. string.format('%04d', MAX_DEPTH - math.min(depth, MAX_DEPTH))
  call('HSET', of('task', job), number, kind .. payload)
  if delay > 0 then
    call('ZADD', of('delayed', job), int(now + delay), place .. number)
  else
    make_ready(job, place, number)
  end
  return number
end

-- Queues the tasks that come next among the arguments; answers the number of the first.
local function queue_args(job, count)
  local first
  for _ = 1, count do
    local class, depth, payload, delay = arg(), num(), arg(), num()
    local number = queue(job, '0', class, depth, payload, delay)
    first = first or number
  end
  return first
end

local function skip_args(count)
  at = at + 4 * count
end

-- What is known of a lease, if the token is the task's.
local function held(job, number, token)
  local found = call('HGET', of('held', job), number)
  if found and string.sub(found, 6, 21) == token then
    return { place = string.sub(found, 1, 5), request = string.sub(found, 22, 37), worker = string.sub(found, 38), all = found }
  end
end

local function stale(job, number)
  return { 'stale', job, number }
end

local function unknown(job)
  return { 'unknown', job }
end

-- Takes a lease away; the task is nowhere then.
local function unlease(job, number)
  local found = call('HGET', of('held', job), number)
  call('HDEL', of('held', job), number)
  call('ZREM', of('leased', job), number)
  if found and string.sub(found, 1, 1) == '0' then call('HINCRBY', of('job', job), 'files_leased', -1) end
end

-- The ledger's entry, if any, is not being retried by this task any more.
local function unbind(job, number)
  local path = call('HGET', of('bound', job), number)
  if path then
    call('HDEL', of('bound', job), number)
    call('HDEL', of('retrying', job), path)
  end
end

-- Removes a leased task, but leaves what the ledger knows of it.
local function erase(job, number)
  unlease(job, number)
  call('HDEL', of('task', job), number)
  call('HDEL', of('cursor', job), number)
  call('HDEL', of('seen', job), number, 'b' .. number)
end

local function drop(job, number)
  erase(job, number)
  unbind(job, number)
end

-- Keeps these fields of a hash.
local function keep(key, fields)
  local kept = {}
  for _, field in ipairs(fields) do
    local value = call('HGET', key, field)
    if value then kept[#kept + 1] = { field, value } end
  end
  call('UNLINK', key)
  for _, pair in ipairs(kept) do
    call('HSET', key, pair[1], pair[2])
  end
  return kept
end

-- Drops what is ready or delayed. A cost in what is leased, not in what is dropped.
local function drop_waiting(job)
  call('UNLINK', of('ready', job), of('delayed', job))
  local numbers = call('ZRANGE', of('leased', job), 0, -1)
  local begun = {}
  for _, number in ipairs(numbers) do
    begun[#begun + 1] = number
    begun[#begun + 1] = 'b' .. number
  end
  keep(of('task', job), numbers)
  keep(of('cursor', job), numbers)
  keep(of('seen', job), begun)
  local bound = keep(of('bound', job), numbers)
  call('UNLINK', of('retrying', job))
  for _, pair in ipairs(bound) do
    call('HSET', of('retrying', job), pair[2], pair[1])
  end
end
