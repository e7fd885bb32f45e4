-- Workers: heartbeats, and what becomes of the leases of one that is gone; the format of what is stored.

-- The numbers of the tasks of a job that a worker holds.
local function in_hand(job, worker)
  local numbers = {}
  for _, number in ipairs(call('ZRANGE', of('leased', job), 0, -1)) do
    if string.sub(call('HGET', of('held', job), number), 38) == worker then numbers[#numbers + 1] = number end
  end
  return numbers
end

function ops.heartbeat()
  local worker, lives_for = arg(), num()
  local gone = call('ZRANGEBYSCORE', P .. 'lives', '-inf', int(now()))
  exempt()
  for _, other in ipairs(gone) do
    call('ZREM', P .. 'lives', other)
    call('UNLINK', P .. 'worker:' .. other)
  end
  local key = P .. 'worker:' .. worker
  call('ZADD', P .. 'lives', int(now() + lives_for), worker)
  call('HSETNX', key, 'since', int(now()))
  call('HSET', key, 'host', arg(), 'pid', arg(), 'process', arg(), 'version', arg(), 'status', arg(), 'heard', int(now()))
  return { 'ok' }
end

function ops.workers()
  local found, leases = {}, {}
  for _, job in ipairs(unfinished()) do
    for _, number in ipairs(call('ZRANGE', of('leased', job), 0, -1)) do
      local worker = string.sub(call('HGET', of('held', job), number), 38)
      local of_worker = leases[worker] or {}
      leases[worker] = of_worker
      local last = of_worker[#of_worker]
      if last and last[1] == job then last[2] = last[2] + 1 else of_worker[#of_worker + 1] = { job, 1 } end
    end
  end
  for _, worker in ipairs(call('ZRANGEBYSCORE', P .. 'lives', '(' .. int(now()), '+inf')) do
    found[#found + 1] = {
      worker, call('HMGET', P .. 'worker:' .. worker, 'host', 'pid', 'process', 'version', 'status', 'since', 'heard'),
      call('ZSCORE', P .. 'lives', worker), leases[worker] or {},
    }
  end
  return { 'ok', found }
end

function ops.gone()
  local worker, how = arg(), arg()
  call('ZREM', P .. 'lives', worker)
  call('UNLINK', P .. 'worker:' .. worker)
  for _, job in ipairs(unfinished()) do
    local state = call('HGET', of('job', job), 'state')
    for _, number in ipairs(in_hand(job, worker)) do put_back(job, state, number, how) end
  end
  return { 'ok' }
end

-- Says which format is stored; an empty deployment gets the one that is asked for.
function ops.open()
  local format = call('HGET', META, 'format')
  if not format then
    format = arg()
    call('HSET', META, 'format', format)
  end
  return { 'ok', format }
end
