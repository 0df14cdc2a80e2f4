//! `tachi policy`.

use tachi_api::{Identity, Policy, PolicyFiles, policy_rules};
use tachi_cli::arguments::{PolicyCheckArgs, PolicyCommand};
use tachi_cli::{out, policy};
use tachi_operator::Failure;

use super::command_settings;

/// Shows the rules, or checks them.
pub(crate) fn run(command: PolicyCommand) -> Result<u8, Failure> {
    match command {
        PolicyCommand::Sample => {
            out::line(tachi_policy::sample(policy_rules()).trim_end());
            Ok(crate::DONE)
        }
        PolicyCommand::List { config, shape } => {
            let loaded = PolicyFiles::read(&command_settings(&config)?.oslo_policy)?;
            let rules = loaded.rules.list();
            let rules = rules.map(|rule| (rule.name, rule.text, rule.place.to_string()));
            policy::show_rules(&shape, rules, &loaded.warnings)?;
            Ok(crate::DONE)
        }
        PolicyCommand::Check(args) => check(&args),
    }
}

/// Checks whether a rule would allow the described user: exit code 0 if it would, 1 if not.
fn check(args: &PolicyCheckArgs) -> Result<u8, Failure> {
    let loaded = PolicyFiles::read(&command_settings(&args.config)?.oslo_policy)?;
    policy::note_warnings(&loaded.warnings);
    let rules: Vec<&str> = match args.rule.as_deref() {
        Some(rule) => {
            if !policy_rules().iter().any(|known| known.name == rule) {
                let names = policy_rules().iter().map(|known| known.name);
                let suggestion = tachi_config::nearest(rule, names)
                    .map_or_else(String::new, |name| format!("; did you mean {name}?"));
                return Err(Failure::usage(format!("no rule is named {rule}{suggestion}")));
            }
            vec![rule]
        }
        None => policy_rules().iter().map(|known| known.name).collect(),
    };
    let in_force = Policy::new(loaded.rules);
    let identity = Identity {
        user_id: args.user.clone().unwrap_or_default(),
        user_domain_id: args.user_domain.clone(),
        project_id: args.project.clone(),
        project_domain_id: args.project_domain.clone(),
        domain_id: args.domain.clone(),
        system_scope: args.system.then(|| "all".to_owned()),
        roles: args.role.clone(),
        is_admin_project: true,
        is_service_project: args.service_project,
        ..Identity::default()
    };
    let answers = rules
        .into_iter()
        .map(|rule| (rule, in_force.would_allow(rule, identity.clone())));
    let answers: Vec<(&str, bool)> = answers.collect();
    policy::show_answers(&args.shape, &answers)?;
    Ok(
        if answers.iter().all(|(_, allowed)| *allowed) || args.rule.is_none() {
            crate::DONE
        } else {
            crate::FAILED
        },
    )
}
