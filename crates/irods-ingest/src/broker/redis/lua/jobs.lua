-- Jobs: made, resumed, shown, stopped, forgotten.

local function view(job)
  local v = call('HMGET', of('job', job), 'name', 'identity', 'spec', 'state', 'failed', 'pass', 'interval', 'owner', 'created',
    'started', 'ended', 'next_pass', 'not_listed', 'file_queue', 'path_queue', 'restart_queue', 'max_in_flight')
  if not v[4] then return nil end
  local owner_lives = 0
  if v[8] and lives(v[8]) then owner_lives = 1 end
  return {
    job, v, owner_lives, call('HGETALL', of('pass', job)), call('HGETALL', of('before', job)),
    call('ZCARD', of('ready', job)), call('ZCARD', of('delayed', job)), call('ZCARD', of('leased', job)),
    call('HLEN', of('ledger', job)),
  }
end

local function exists(job)
  return call('EXISTS', of('job', job)) == 1
end

local function forget(job)
  call('HDEL', P .. 'names', call('HGET', of('job', job), 'name'))
  call('ZREM', P .. 'jobs', job)
  for _, kind in ipairs({ 'job', 'pass', 'before', 'ledger', 'paths', 'bound', 'retrying', 'events', 'profile' }) do
    call('UNLINK', of(kind, job))
  end
end

local function unfinished_like(name, identity, interval)
  if name ~= '' then
    local job = call('HGET', P .. 'names', name)
    if job and not has_ended(call('HGET', of('job', job), 'state')) then return job end
  end
  for _, job in ipairs(unfinished()) do
    local v = call('HMGET', of('job', job), 'identity', 'interval')
    if v[1] == identity and (v[2] or '') == interval then return job end
  end
end

-- Sets what a job's tasks are shared by: the names of its queues, and the bound on chunks of files in hand.
local function share(job, file_queue, path_queue, restart_queue, max_in_flight)
  local key = of('job', job)
  call('HSET', key, 'file_queue', file_queue, 'path_queue', path_queue, 'restart_queue', restart_queue)
  if max_in_flight == '' then call('HDEL', key, 'max_in_flight') else call('HSET', key, 'max_in_flight', max_in_flight) end
end

function ops.create()
  local request, name, spare, identity, owner, spec = arg(), arg(), arg(), arg(), arg(), arg()
  local pre_job, post_job, interval = arg(), arg(), arg()
  local file_queue, path_queue, restart_queue, max_in_flight = arg(), arg(), arg(), arg()
  local class, depth, payload, delay = arg(), arg(), arg(), arg()
  tick()
  local found = unfinished_like(name, identity, interval)
  if found then
    local key = of('job', found)
    local v = call('HMGET', key, 'name', 'identity', 'state', 'owner', 'made', 'interval')
    if v[5] == request then return { 'ok', 'new', view(found) } end
    if v[2] ~= identity or (v[6] or '') ~= interval then return { 'in_use', v[1], 'different', '' } end
    if v[3] == 'stopping' then return { 'in_use', v[1], 'stopping', '' } end
    if v[4] and lives(v[4]) and v[4] ~= owner then return { 'in_use', v[1], 'owned', v[4] } end
    if owner == '' then call('HDEL', key, 'owner') else call('HSET', key, 'owner', owner) end
    call('HSET', key, 'spec', spec)
    share(found, file_queue, path_queue, restart_queue, max_in_flight)
    event(found, 'resumed', '')
    return { 'ok', 'resumed', view(found) }
  end
  local job = int(call('HINCRBY', META, 'last_job', 1))
  if name == '' then name = spare end
  local older = call('HGET', P .. 'names', name)
  if older then forget(older) end
  local key = of('job', job)
  call('HSET', key, 'name', name, 'identity', identity, 'spec', spec, 'state', 'queued', 'pass', 1, 'turn', 0, 'pre_job', pre_job,
    'post_job', post_job, 'created', int(now()), 'made', request, 'first_class', class, 'first_depth', depth, 'first_payload', payload,
    'first_delay', delay)
  if owner ~= '' then call('HSET', key, 'owner', owner) end
  if interval ~= '' then call('HSET', key, 'interval', interval) end
  share(job, file_queue, path_queue, restart_queue, max_in_flight)
  call('HSET', P .. 'names', name, job)
  call('ZADD', P .. 'jobs', job, job)
  call('ZADD', P .. 'unfinished', job, job)
  event(job, 'created', '')
  begin_pass(job, pre_job == '1')
  return { 'ok', 'new', view(job) }
end

function ops.find()
  local job = call('HGET', P .. 'names', arg())
  return { 'ok', job and view(job) }
end

function ops.job()
  local job = arg()
  local found = view(job)
  if not found then return unknown(job) end
  return { 'ok', found }
end

function ops.jobs()
  local views = {}
  for _, job in ipairs(call('ZRANGE', P .. 'jobs', 0, -1)) do
    views[#views + 1] = view(job)
  end
  return { 'ok', views }
end

function ops.events()
  local job = arg()
  if not exists(job) then return unknown(job) end
  return { 'ok', call('LRANGE', of('events', job), 0, -1) }
end

function ops.note()
  local job, text = arg(), arg()
  if not exists(job) then return unknown(job) end
  event(job, 'note', text)
  return { 'ok' }
end

function ops.profile()
  local job = arg()
  if not exists(job) then return unknown(job) end
  local kept = call('HMGET', of('profile', job), 'revision', 'bytes')
  return { 'ok', kept[1] or '0', kept[2] or '' }
end

function ops.put_profile()
  local job, revision, bytes = arg(), arg(), arg()
  if not exists(job) then return unknown(job) end
  local key = of('profile', job)
  if (call('HGET', key, 'revision') or '0') ~= revision then return { 'ok', '0' } end
  call('HSET', key, 'revision', int(tonumber(revision) + 1), 'bytes', bytes)
  return { 'ok', '1' }
end

function ops.stop()
  local job, at_once = arg(), arg() == '1'
  local c = course(job)
  if not c then return unknown(job) end
  exempt()
  if c.state == 'waiting' then
    finish(job, 'stopped', '')
  elseif not has_ended(c.state) then
    if c.state ~= 'stopping' or c.ending == 'pass' then
      begin_ending(job, 'stop')
      event(job, 'stopping', '')
    end
    if at_once then
      for _, number in ipairs(call('ZRANGE', of('leased', job), 0, -1)) do drop(job, number) end
    end
    settle(job)
  end
  return { 'ok', call('HGET', of('job', job), 'state') }
end

function ops.forget()
  local job = arg()
  local c = course(job)
  if not c then return unknown(job) end
  if not has_ended(c.state) then return { 'not_ended', c.name } end
  forget(job)
  return { 'ok' }
end
