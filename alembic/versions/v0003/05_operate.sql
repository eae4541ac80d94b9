-- Pause also tells the workers, which hand back what they hold of the queue and have not started.

create or replace function {schema}.pause(queue text) returns text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
begin
  perform {schema}.check_queue(pause.queue);
  insert into {schema}.queue (name, paused_at) values (pause.queue, clock_timestamp())
  on conflict (name) do update set paused_at = coalesce({schema}.queue.paused_at, excluded.paused_at);
  insert into {schema}.operator_action (actor, action, queue, outcome) values ({schema}.actor(), 'pause', pause.queue, 'paused');
  perform pg_notify({schema}.channel(), 'paused:' || pause.queue);
  return 'paused';
end $$;
