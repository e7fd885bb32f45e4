-- The life of a job: passes begin, end, fail, are stopped; leases run out. Whatever takes a task away calls settle, which alone
-- decides what the last task of a job leads to.

local function course(job)
  local v = call('HMGET', of('job', job), 'name', 'state', 'ending', 'reopened', 'pre_job', 'post_job', 'post_queued', 'interval',
    'started', 'next_pass', 'failed')
  if not v[2] then return nil end
  return {
    job = job, name = v[1], state = v[2], ending = v[3], reopened = v[4], pre_job = v[5] == '1', post_job = v[6] == '1',
    post_queued = v[7] == '1', interval = tonumber(v[8]), started = tonumber(v[9]), next_pass = tonumber(v[10]),
    failed = v[11] or '',
  }
end

local function has_ended(state)
  return state == 'stopped' or state == 'finished' or state == 'failed'
end

local function queue_hook(job, kind)
  call('HSET', of('seen', job), 'k' .. queue(job, { { '3', 0, '', 0 } }), kind)
end

local function queue_first(job)
  local v = call('HMGET', of('job', job), 'first_class', 'first_depth', 'first_payload', 'first_delay')
  queue(job, { { v[1], tonumber(v[2]), v[3], tonumber(v[4]) } })
end

local function begin_pass(job, pre_job)
  if pre_job then queue_hook(job, '1') else queue_first(job) end
end

-- A sum that would overflow stays at the most that Redis counts.
local function add(key, field, by)
  local sum = redis.pcall('HINCRBY', key, field, by)
  if type(sum) == 'table' and sum.err then call('HSET', key, field, '9223372036854775807') end
end

-- What this pass counted is counted as done before, from now on.
local function end_counting(job)
  local counted = call('HGETALL', of('pass', job))
  call('UNLINK', of('pass', job))
  for i = 1, #counted, 2 do add(of('before', job), counted[i], counted[i + 1]) end
end

-- Begins the next full pass of a waiting job. The ledger of the last one is history now.
local function next_pass(job)
  local key = of('job', job)
  call('HDEL', key, 'reopened', 'post_queued', 'started', 'ended', 'next_pass', 'failed', 'not_listed')
  call('UNLINK', of('ledger', job), of('paths', job), of('bound', job), of('retrying', job))
  end_counting(job)
  call('HSET', key, 'state', 'queued', 'turn', 0)
  call('HINCRBY', key, 'pass', 1)
  begin_pass(job, call('HGET', key, 'pre_job') == '1')
end

-- Begins a pass of retries, after which the job is again as it is now.
local function reopen(job, state)
  local key = of('job', job)
  call('HDEL', key, 'started', 'ended')
  end_counting(job)
  call('HSET', key, 'state', 'queued', 'turn', 0, 'reopened', state)
  call('HINCRBY', key, 'pass', 1)
  call('ZADD', P .. 'unfinished', job, job)
end

local function finish(job, state, why)
  local key = of('job', job)
  call('HDEL', key, 'owner', 'ending', 'reopened', 'next_pass')
  call('HSET', key, 'state', state, 'ended', int(now()))
  call('ZREM', P .. 'unfinished', job)
  event(job, state, why)
end

local function wait(c, kind, why)
  local due
  if not c.reopened and c.interval then
    due = (c.started or now()) + c.interval
  else
    due = c.next_pass or now()
  end
  local key = of('job', c.job)
  call('HDEL', key, 'ending', 'reopened')
  call('HSET', key, 'state', 'waiting', 'ended', int(now()), 'next_pass', int(math.max(due, now())))
  event(c.job, kind, why)
end

local function settle(job)
  for _, kind in ipairs({ 'leased', 'ready', 'delayed' }) do
    if call('ZCARD', of(kind, job)) > 0 then return end
  end
  local c = course(job)
  if c.state == 'stopping' then
    if c.ending == 'job' then
      finish(job, 'failed', c.failed)
    elseif c.ending == 'pass' then
      local goes_on = c.interval ~= nil
      if c.reopened then goes_on = c.reopened == 'waiting' end
      if goes_on then wait(c, 'pass_failed', c.failed) else finish(job, 'failed', c.failed) end
    else
      finish(job, 'stopped', '')
    end
  elseif c.state == 'queued' or c.state == 'running' then
    if c.reopened == 'waiting' then
      wait(c, 'pass_ended', '')
    elseif c.reopened then
      finish(job, c.reopened, c.reopened == 'failed' and c.failed or '')
    elseif c.post_job and not c.post_queued then
      call('HSET', of('job', job), 'post_queued', '1')
      queue_hook(job, '2')
    elseif c.interval then
      wait(c, 'pass_ended', '')
    else
      finish(job, 'finished', '')
    end
  end
end

local function begin_ending(job, ending, why)
  drop_waiting(job)
  call('HSET', of('job', job), 'state', 'stopping', 'ending', ending)
  if why then call('HSET', of('job', job), 'failed', why) end
end

-- Begins to end a pass or job because a task says so. A job that is being stopped ends as stopped all the same.
local function fatal(c, ending, why)
  if not c.ending or (c.ending == 'pass' and ending == 'job') then
    begin_ending(c.job, ending, why)
  else
    event(c.job, 'note', why)
  end
end

-- A lease that is no more: the task is ready again, or gone if the job is being stopped. How it went: 'left' in order, in the
-- 'middle' of it, 'died', or 'lapsed', which counts until its holder comes back.
local function put_back(job, state, number, how)
  if state == 'stopping' then
    drop(job, number)
    settle(job)
    return
  end
  local lease, seen = call('HGET', of('held', job), number), of('seen', job)
  unlease(job, number, lease)
  make_ready(job, string.sub(lease, 1, 5), number)
  call('HSET', seen, 'w' .. number, int(now()))
  if how == 'middle' then call('HSETNX', seen, number, 1) end
  if how == 'died' or how == 'lapsed' then call('HINCRBY', seen, number, 1) end
  if how == 'lapsed' then
    call('HSET', seen, 'o' .. number, (call('HGET', seen, 'o' .. number) or '') .. string.sub(lease, 6, 21))
  end
end

-- A lease that ran out counts no more: its holder has come back.
local function forgive(job, number, token)
  local seen = of('seen', job)
  local lapsed = call('HGET', seen, 'o' .. number) or ''
  for from = 1, #lapsed, 16 do
    if string.sub(lapsed, from, from + 15) == token then
      call('HSET', seen, 'o' .. number, string.sub(lapsed, 1, from - 1) .. string.sub(lapsed, from + 16))
      if tonumber(call('HGET', seen, number)) > 1 then call('HINCRBY', seen, number, -1) end
      return
    end
  end
end

-- Takes back leases that ran out, makes due tasks ready, begins due passes.
local function tick()
  for _, job in ipairs(unfinished()) do
    local v = call('HMGET', of('job', job), 'state', 'next_pass')
    if v[1] == 'waiting' then
      if not v[2] or tonumber(v[2]) <= now() then next_pass(job) end
    else
      for _, number in ipairs(call('ZRANGEBYSCORE', of('leased', job), '-inf', int(now()))) do
        put_back(job, v[1], number, 'lapsed')
      end
      for _, member in ipairs(call('ZRANGEBYSCORE', of('delayed', job), '-inf', int(now()))) do
        call('ZREM', of('delayed', job), member)
        make_ready(job, string.sub(member, 1, 5), string.sub(member, 6))
      end
    end
  end
end

function ops.tick()
  tick()
  return { 'ok' }
end
