//! Slack as the team's memory and as the place where people are told.
