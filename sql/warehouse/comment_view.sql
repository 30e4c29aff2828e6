-- what:       says what a view shows
-- parameters: an identifier and a fixed sentence (DDL takes no bound parameters)
comment on view {view} is '{sentence}';
