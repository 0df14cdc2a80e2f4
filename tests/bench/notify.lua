-- Notifications that are all different, over HOSTS hosts; RUN keeps two runs apart.
local hosts = tonumber(os.getenv("HOSTS"))
local run = tonumber(os.getenv("RUN"))
local count = 0
local body = '{"notification":{"type":"VM","hostname":"compute-%03d","generated_time":"%s","payload":' ..
  '{"event":"LIFECYCLE","instance_uuid":"%08x-0000-4000-8000-%012x","vir_domain_event":"STOPPED_FAILED"}}}'

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"

function request()
  count = count + 1
  return wrk.format(nil, nil, nil,
    string.format(body, count % hosts + 1, os.date("!%Y-%m-%dT%H:%M:%S"), run, count))
end
